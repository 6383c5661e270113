"""The peers: each a class in a file of its own, that calls one library as its users do."""

OURS = ("faltung", "faltung-ncw")
"""Always take part: the others are compared with them."""
PEERS = {
    "faltung": "faltung.bench.peers.faltung:ChannelsLast",
    "faltung-ncw": "faltung.bench.peers.faltung:ChannelsFirst",
    "torch": "faltung.bench.peers.torch:Torch",
    "torch-2d": "faltung.bench.peers.torch:TorchChannelsLast",
    "torch-compile": "faltung.bench.peers.torch:TorchCompile",
    "tensorflow": "faltung.bench.peers.tensorflow:TensorFlow",
    "keras": "faltung.bench.peers.keras:Keras",
    "jax": "faltung.bench.peers.jax:Jax",
    "jax-ncw": "faltung.bench.peers.jax:JaxChannelsFirst",
    "onnxruntime": "faltung.bench.peers.onnxruntime:OnnxRuntime",
    "openvino": "faltung.bench.peers.openvino:OpenVino",
    "scipy": "faltung.bench.peers.scipy:SciPy",
    "scipy-fft": "faltung.bench.peers.scipy:SciPyOverlapAdd",
}
"""Where the class of each peer is."""
