//! The command line that both programs share.

use std::num::NonZeroUsize;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// `--runtime NAME`: which flavour of the program to run. `blocking` unless given.
    pub runtime: String,
    /// `-p N`: how many calls a client has in flight at once. 8 unless given.
    pub parallel: NonZeroUsize,
}

/// A command line that could not be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgsError {
    /// An option stands without its value.
    #[error("{0} needs a value")]
    MissingValue(String),
    /// The number is none, or is zero.
    #[error("-p needs a positive number, not {0}")]
    NotPositive(String),
    /// An argument that no program has.
    #[error("unknown argument {0}; usage: [--runtime NAME] [-p N]")]
    Unknown(String),
}

impl Args {
    /// Parses a command line, given without the program's name.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Args, ArgsError> {
        let mut parsed =
            Args { runtime: "blocking".to_owned(), parallel: const { NonZeroUsize::new(8).unwrap() } };
        let mut args = args.into_iter();
        while let Some(option) = args.next() {
            let mut value = || args.next().ok_or(ArgsError::MissingValue(option.clone()));
            match option.as_str() {
                "--runtime" => parsed.runtime = value()?,
                "-p" => {
                    let number = value()?;
                    parsed.parallel = number.parse().map_err(|_| ArgsError::NotPositive(number))?;
                }
                _ => return Err(ArgsError::Unknown(option)),
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, ArgsError> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_override_defaults() {
        let args = parse("-p 16 --runtime tokio").unwrap();
        assert_eq!((args.runtime.as_str(), args.parallel.get()), ("tokio", 16));
        let args = parse("").unwrap();
        assert_eq!((args.runtime.as_str(), args.parallel.get()), ("blocking", 8));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(parse("-p"), Err(ArgsError::MissingValue("-p".into())));
        assert_eq!(parse("-p 0"), Err(ArgsError::NotPositive("0".into())));
        assert_eq!(parse("--fast"), Err(ArgsError::Unknown("--fast".into())));
    }
}
