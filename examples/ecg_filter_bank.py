"""python examples/ecg_filter_bank.py [DIRECTORY]: runs src/faltung/demo/ecg_filter_bank.py, as `faltung demo` does."""

from faltung.demo.ecg_filter_bank import main

main()
