"""Catalogues of others: their columns as plain numbers, their file formats, and what surveys call them."""
