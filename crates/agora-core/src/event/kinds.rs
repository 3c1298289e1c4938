//! What a subscription takes: one event, an enum of events, or everything.

use super::{DecodeError, Event};
use crate::codec::Record;

/// What a typed subscription takes. Every [`Event`] is one, an enum made by [`events!`](crate::events) is one, and
/// [`Record`] takes everything undecoded.
pub trait Events: Sized + Send + 'static {
    /// Decodes a record; `None` for a kind that this type does not know.
    ///
    /// # Errors
    /// The kind is known and the body cannot be read.
    fn from_record(record: &Record) -> Result<Option<Self>, DecodeError>;
}

impl<E: Event> Events for E {
    fn from_record(record: &Record) -> Result<Option<Self>, DecodeError> {
        if record.is::<E>() { record.decode().map(Some) } else { Ok(None) }
    }
}

impl Events for Record {
    fn from_record(record: &Record) -> Result<Option<Self>, DecodeError> {
        Ok(Some(record.clone()))
    }
}

/// Makes an enum of events that a subscription can take, each variant with one event type.
///
/// ```
/// use agora_core::event::builtin::{AddressBlocked, MailboxChanged};
///
/// agora_core::events! {
///     /// What the mail front end listens to.
///     #[derive(Debug)]
///     pub enum MailEvent {
///         /// New mail, or flags.
///         Mailbox(MailboxChanged),
///         Blocked(AddressBlocked),
///     }
/// }
/// ```
#[macro_export]
macro_rules! events {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $( $(#[$variant_attribute:meta])* $variant:ident($event:ty) ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility enum $name {
            $(
                $(#[$variant_attribute])*
                #[allow(missing_docs)]
                $variant($event),
            )+
        }

        impl $crate::event::Events for $name {
            fn from_record(
                record: &$crate::codec::Record,
            ) -> ::core::result::Result<::core::option::Option<Self>, $crate::event::DecodeError> {
                $(
                    if record.is::<$event>() {
                        return record.decode().map(Self::$variant).map(::core::option::Option::Some);
                    }
                )+
                ::core::result::Result::Ok(::core::option::Option::None)
            }
        }

        $(
            impl ::core::convert::From<$event> for $name {
                fn from(event: $event) -> Self {
                    Self::$variant(event)
                }
            }
        )+
    };
}
