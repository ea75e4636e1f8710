"""A folder with all that is needed to answer: tables, graph, features, network, vectors."""
