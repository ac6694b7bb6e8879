//! The book as a whole: every chapter is in it and is tested, every link leads somewhere, and what it
//! tells people to type does what it says.

mod links;
mod pages;
#[cfg(unix)]
mod shell;
