"""The program: kernels written as LLVM IR in words of our own."""
