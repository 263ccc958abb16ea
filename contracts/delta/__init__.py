"""The model-aware delta: how one model file becomes another of the same layout at the cost of what changed in its weights.

FORMAT, version 1, integers little endian:

    b"ffd1", u32 length, header      the header is a `layout.Header` as canonical JSON, zstd
    u32 length, frame                for each piece of the target outside the header's runs: zstd, base bytes as its prefix
    u32 length, frame                for each stream of changed words: `stream`

A run says that a range of the target is a range of the base: the same bytes, or words of a kind whose differences are coded.
Everything is explicit: who applies a delta needs to know nothing of model formats. `encode` is the only part that reads them.
"""
