"""Running it: target, compilation, object cache, threads, buffers, launch."""
