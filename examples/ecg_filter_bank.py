"""python examples/ecg_filter_bank.py [DIRECTORY]: runs src/faltung/demo/ecg_filter_bank.py."""

from faltung.demo.ecg_filter_bank import main

main()
