"""Whether posteriors can be trusted: accuracy of the likelihood, coverage on mocks, novelty of the observation."""
