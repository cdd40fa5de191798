//! Egresses: readers of committed streams.
