"""Zero-Start: refine the class logits of a frozen DEIMv2 detector with language, and test whether it helps."""

from zerostart.kernels import pin_kernels

pin_kernels()
