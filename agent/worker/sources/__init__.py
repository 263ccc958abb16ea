"""Where a worker gets pictures from by itself: a camera, a stream or a folder, each read by a process of its own."""
