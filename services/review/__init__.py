"""Review: checks, policy, the reviewers' queue, decision and limit."""
