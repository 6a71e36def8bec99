//! An envelope is read whole or not at all, what is read is written the same, and its channel is read
//! back as what it is for.

use crate::relay::channel::Channel;
use crate::relay::envelope::Envelope;

/// Panics when a promise about this envelope, or about this name of a channel, is broken.
pub fn check(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::parse(bytes) {
        assert_eq!(envelope.to_bytes().as_deref(), Ok(bytes));
        let name = envelope.channel();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.%".contains(&byte);
        assert!(name.bytes().all(plain), "{}", name);
        let channel = Channel::parse(&name).expect("a channel");
        assert_eq!(channel.name(), name);
        for end in [bytes.len() / 2, bytes.len() - 1] {
            assert!(Envelope::parse(&bytes[..end]).is_err());
        }
    }
    if let Ok(name) = std::str::from_utf8(bytes) {
        if let Some(channel) = Channel::parse(name) {
            assert_eq!(channel.name(), name);
        }
        let topic = Channel::Topic(name.to_string());
        assert_eq!(Channel::parse(&topic.name()), Some(topic));
    }
}
