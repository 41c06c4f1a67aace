"""What stands behind `mechviz.svelte`: compiling, linking, signatures, data, watching."""
