"""How much there is to do at a rate of requests: a model, and a simulation that checks it."""
