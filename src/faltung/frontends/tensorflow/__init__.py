"""TensorFlow: `tf.nn`'s convolutions with its names and its gradients. The public face is `faltung.tensorflow`.

Read it in this order: `tensors.py` (memory), `asked.py` (what is asked, with sizes still open), `activation.py`,
`operators.py` (the three operators and their derivatives), `nn.py` (tf.nn's signatures).
"""
