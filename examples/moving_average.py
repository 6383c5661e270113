"""python examples/moving_average.py [DIRECTORY]: runs src/faltung/demo/moving_average.py, as `faltung demo` does."""

from faltung.demo.moving_average import main

main()
