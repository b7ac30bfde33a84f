"""The asv suite. Every benchmark asserts its result in `setup`: a fast wrong answer does not count."""
