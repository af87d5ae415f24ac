//! A machine with a real watchdog (QEMU's `i6300esb`) that boots Debian's kernel with self-fencing in its initramfs.
//!
//! [`kernel`] gets the kernel, [`archive`] writes the initramfs, [`machine`] runs it and returns how it ended.

pub mod archive;
pub mod kernel;
pub mod machine;
