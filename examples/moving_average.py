"""python examples/moving_average.py [DIRECTORY]: runs src/faltung/demo/moving_average.py."""

from faltung.demo.moving_average import main

main()
