//! What the calls of a server have in common, and what is known of each procedure.

use std::sync::Arc;
use std::time::Duration;

use crate::call::{Kind, Limits};
use crate::compress::Compressions;

/// What the calls of a server have in common: make it once, share it by `Arc`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The compressions that requests may come in and responses may go out in. By default all that the enabled
    /// features ship.
    pub compressions: Compressions,
    /// Bytes from which on a response message is compressed, if the client accepts that. 1,024.
    pub compress_from: usize,
    /// The limits of each call.
    pub limits: Limits,
    /// The longest time that a call may take, whatever its client asks for. Unlimited.
    pub max_timeout: Option<Duration>,
    /// How long a message of the request may take to come in: from its first byte to its last. The one request message of
    /// a unary call or a server stream is awaited from the start of the call to the end of the request. A stream that is
    /// silent between messages is not limited, and time in which the application does not read, so that flow control
    /// holds the client back, does not count. 60 s.
    pub message_timeout: Option<Duration>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            compressions: Compressions::default(),
            compress_from: 1024,
            limits: Limits::default(),
            max_timeout: None,
            message_timeout: Some(Duration::from_secs(60)),
        }
    }
}

/// What a server knows of a procedure before the first call of it.
#[derive(Clone, Debug)]
pub struct MethodSpec {
    /// Its kind. [`Duplex::Full`](crate::call::Duplex::Full) refuses HTTP/1.1; a bidi procedure that also works when
    /// the request ends before the response begins is [`Duplex::Half`](crate::call::Duplex::Half), and still runs in
    /// full duplex over HTTP/2.
    pub kind: Kind,
    /// Whether it is free of side effects, so that a unary call of it may come by GET.
    pub side_effect_free: bool,
    /// The names of the codecs it understands.
    pub codecs: Arc<[String]>,
}

impl MethodSpec {
    /// A procedure that may have side effects.
    #[must_use]
    pub fn new(kind: Kind, codecs: &Arc<[String]>) -> Self {
        MethodSpec { kind, side_effect_free: false, codecs: codecs.clone() }
    }

    /// The same procedure, free of side effects.
    #[must_use]
    pub fn side_effect_free(mut self) -> Self {
        self.side_effect_free = true;
        self
    }
}
