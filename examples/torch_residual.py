"""python examples/torch_residual.py [DIRECTORY]: runs src/faltung/demo/torch_residual.py."""

from faltung.demo.torch_residual import main

main()
