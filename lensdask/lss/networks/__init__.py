"""Compressors: networks that make a few summaries of many maps."""
