"""Tests of a catalogue of shear by what should be zero, and its correlation functions."""
