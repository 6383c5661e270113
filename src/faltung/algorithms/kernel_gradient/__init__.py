"""The kernel gradient by direct summation over positions."""
