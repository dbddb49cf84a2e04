"""How something gets compiled once: sources, environments, input keys, trees and the store."""
