"""The kernel gradient by Toom-Cook along w."""
