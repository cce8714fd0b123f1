"""From summaries to constraints: a learned likelihood, Markov chains, and what shows whether they can be trusted."""
