"""Who runs whole networks: each a class that does what its users do."""

OURS = ("faltung", "accelerate")
"""Always take part, where they can: the others are compared with the first."""
PEERS = {
    "faltung": "faltung.bench.networks.peers.faltung:Faltung",
    "accelerate": "faltung.bench.networks.peers.torch:Accelerated",
    "torch": "faltung.bench.networks.peers.torch:Torch",
    "torch-compile": "faltung.bench.networks.peers.torch:TorchCompile",
    "keras": "faltung.bench.networks.peers.keras:Keras",
    "keras-predict": "faltung.bench.networks.peers.keras:Predict",
    "jax": "faltung.bench.networks.peers.keras:Jax",
    "litert": "faltung.bench.networks.peers.keras:LiteRt",
    "onnxruntime": "faltung.bench.networks.peers.files:OnnxRuntime",
    "openvino": "faltung.bench.networks.peers.files:OpenVino",
}
"""Where the class of each is."""
