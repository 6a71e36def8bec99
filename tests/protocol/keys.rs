//! HMAC-SHA1 (RFC 2104) with the test vectors of RFC 2202, section 3, and session keys.

use sockling::http::hmac_sha1;
use sockling::{Error, SessionId, SessionKeys};

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{:02x}", byte)).collect()
}

#[test]
fn hmac_sha1_matches_the_test_vectors_of_the_rfc() {
    let counted: Vec<u8> = (1..=25).collect();
    let rows: [(&str, &[u8], &[u8], &str); 7] = [
        ("case 1", &[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
        (
            "case 2, a key of 4 bytes",
            b"Jefe",
            b"what do ya want for nothing?",
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        ("case 3", &[0xaa; 20], &[0xdd; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        ("case 4", &counted, &[0xcd; 50], "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
        (
            "case 5",
            &[0x0c; 20],
            b"Test With Truncation",
            "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
        ),
        (
            "case 6, a key longer than a block",
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "aa4ae5e15272d00e95705637ce8a3b55ed402112",
        ),
        (
            "case 7, and data longer than a block",
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
            "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
        ),
    ];
    for (gloss, key, text, expected) in rows {
        assert_eq!(hexadecimal(&hmac_sha1(key, text)), expected, "{}", gloss);
    }
}

#[test]
fn a_key_longer_than_a_block_of_64_bytes_is_hashed_first() {
    // Computed with another implementation; the key repeats the letter k.
    let rows = [
        (63, "b8bf0e297d91a1fd1a2c6bb62a2bed9a69cf70bd"),
        (64, "79ff55fa698f97a703bb0ad426871006ee745343"),
        (65, "23cdc442dba98c8865255f4fce14aca27f4444ba"),
    ];
    for (length, expected) in rows {
        let mac = hmac_sha1("k".repeat(length).as_bytes(), b"text");
        assert_eq!(hexadecimal(&mac), expected, "{} bytes", length);
    }
    let nothing = hmac_sha1(b"", b"");
    assert_eq!(hexadecimal(&nothing), "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
}

#[test]
fn at_least_one_key_of_at_least_20_bytes_is_required() {
    let (short, long) = ([7; SessionKeys::SHORTEST - 1], [7; SessionKeys::SHORTEST]);
    assert_eq!(SessionKeys::SHORTEST, 20);
    assert!(SessionKeys::new([long]).is_ok());
    assert!(matches!(SessionKeys::new([short]), Err(Error::Key)));
    assert!(matches!(SessionKeys::new([&long[..], &short[..]]), Err(Error::Key)));
    assert!(matches!(SessionKeys::new([b""]), Err(Error::Key)));
    assert!(matches!(SessionKeys::new::<&str>([]), Err(Error::Key)));
}

#[test]
fn the_first_key_signs_and_all_keys_verify() {
    const OLD: &str = "the key of last year, which somebody may have read";
    const NEW: &str = "the key of this year, which nobody has";
    let id = SessionId::from(7);
    let keys = |keys: &[&str]| SessionKeys::new(keys).unwrap();
    let token = id.to_token(&keys(&[OLD]));
    let known = |keys: &SessionKeys| SessionId::from_token(&token, keys).is_ok();
    assert!(known(&keys(&[OLD])) && known(&keys(&[NEW, OLD])) && known(&keys(&[OLD, NEW])));
    assert!(!known(&keys(&[NEW])));
    assert_eq!(id.to_token(&keys(&[OLD, NEW])), token);
    assert_eq!(id.to_token(&keys(&[NEW, OLD])), id.to_token(&keys(&[NEW])));
    assert_ne!(id.to_token(&keys(&[NEW])), token);
}

#[test]
fn random_keys_differ_and_their_clones_are_equal() {
    let (one, two) = (SessionKeys::random().unwrap(), SessionKeys::random().unwrap());
    let token = SessionId::from(7).to_token(&one);
    assert!(SessionId::from_token(&token, &one.clone()).is_ok());
    assert!(SessionId::from_token(&token, &two).is_err());
}

#[test]
fn debug_never_shows_keys() {
    let keys = SessionKeys::new(["a secret of 20 bytes", "another one of 20 bytes"]).unwrap();
    assert_eq!(format!("{:?}", keys), "SessionKeys(2 keys)");
}

/// The code that handles signatures.
const SESSION: [&str; 3] = [
    include_str!("../../src/session/keys.rs"),
    include_str!("../../src/session/cookie.rs"),
    include_str!("../../src/session/id.rs"),
];

/// Returns code without its comments.
fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or("").to_string() + "\n").collect()
}

#[test]
fn the_comparison_of_signatures_never_ends_early() {
    // The time that `==` takes shows how much of a guess is right.
    let keys = without_comments(SESSION[0]);
    let body = |name: &str| {
        let rest = keys.split(&format!("fn {}(", name)).nth(1).expect("a function");
        rest.split("\n}\n").next().unwrap_or("").split("\n    }\n").next().unwrap_or("").to_string()
    };
    assert!(body("verify").contains("same("), "{}", body("verify"));
    assert!(keys.contains("#[inline(never)]\nfn same("), "the compiler could optimize it");
    let same = body("same");
    assert!(same.contains("fold("), "{}", same);
    for word in [".all(", ".any(", ".eq(", ".cmp(", "position(", "return", "break", "if ", "?"] {
        assert!(!same.contains(word), "it may end early by {}: {}", word, same);
    }
    // No other code compares signatures; whether a length is right is not secret.
    for code in SESSION.map(without_comments) {
        for line in code.lines() {
            let names = ["signature", "hmac", "mac("].iter().any(|name| line.contains(name));
            let compares = ["==", "!=", ".eq(", "matches!", "starts_with"];
            let compares = compares.iter().any(|word| line.contains(word));
            assert!(!names || !compares || line.contains(".len() == "), "{}", line);
        }
    }
}
