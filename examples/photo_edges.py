"""python examples/photo_edges.py [DIRECTORY]: runs src/faltung/demo/photo_edges.py."""

from faltung.demo.photo_edges import main

main()
