"""TensorFlow: `tf.nn`'s convolutions with its names and its gradients. The public face is `faltung.tensorflow`.

Read it in this order: `tensors.py` (memory), `asked.py` (what is asked, with sizes still open), `activation.py`,
`operators.py` (the three operators and their derivatives), `nn.py` (tf.nn's signatures).
"""

from faltung.errors import FaltungError

# TensorFlow wraps what is raised while a graph is traced in an error of its own, unless it says that it may pass
setattr(FaltungError, "ag_pass_through", True)  # noqa: B010  # the class itself knows no framework
