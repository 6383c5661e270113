"""A whole network as one native call: graph, passes, plan, jobs."""
