"""The SCD41: CO2 by photoacoustics; commands, sequence."""
