"""Maps that mass maps and large-scale structure share: fields, pixels, the sky, surveys."""
