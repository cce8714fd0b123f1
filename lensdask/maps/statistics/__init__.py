"""What is measured on maps: errors, peaks, profiles, filaments, distributions."""
