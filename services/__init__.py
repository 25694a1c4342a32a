"""The cores: one package for each service, which imports the contract and kit only."""
