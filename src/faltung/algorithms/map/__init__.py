"""One function of up to four arrays, number by number, whatever their strides."""
