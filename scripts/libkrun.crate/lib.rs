pub use krun::*;
