//! The rules for reading cookies once more, one byte after the other and with copies of everything:
//! for comparing with, by tests and by a fuzzer.

/// What there is under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slow {
    Nothing,
    One(Vec<u8>),
    Duplicate,
    TooMany,
}

/// See the module's text.
pub fn find(fields: &[&[u8]], wanted: &[u8]) -> Slow {
    // A `;` between fields, as between the cookies of one; it is no byte of the limit.
    let size: usize = fields.iter().map(|field| field.len()).sum();
    let mut pairs: Vec<Vec<u8>> = vec![Vec::new()];
    for byte in fields.join(&b';') {
        match (byte, pairs.last_mut()) {
            (b';', _) | (_, None) => pairs.push(Vec::new()),
            (b' ' | b'\t', Some(pair)) if pair.is_empty() => {}
            (byte, Some(pair)) => pair.push(byte),
        }
    }
    for pair in &mut pairs {
        while matches!(pair.last(), Some(b' ' | b'\t')) {
            pair.pop();
        }
    }
    pairs.retain(|pair| !pair.is_empty());
    if size > 16 * 1024 || pairs.len() > 64 {
        return Slow::TooMany;
    }
    let mut values = Vec::new();
    for pair in pairs {
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        if let (Some(name), Some(value)) = (sides.next(), sides.next())
            && name == wanted
        {
            values.push(value.to_vec());
        }
    }
    match values.len() {
        0 => Slow::Nothing,
        1 => Slow::One(values.remove(0)),
        _ => Slow::Duplicate,
    }
}
