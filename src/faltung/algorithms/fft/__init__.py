"""Long kernels by FFT: blocked overlap-save."""
