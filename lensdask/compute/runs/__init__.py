"""One resumable run: chunks, where they are computed, their journal."""
