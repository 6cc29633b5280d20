"""Speaks to what switches the power of nodes: BMCs by IPMI and Redfish, network cards by magic packets."""
