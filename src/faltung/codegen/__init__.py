"""The program: kernels written as LLVM IR in fields of our own."""
