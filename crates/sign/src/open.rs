//! Opens bundles: bounds first, then who signed, then what, then whether it is in order, now and here.

use crate::manifest::{MANIFEST_MAX, bound};
use crate::{BundleError, Digest, FileEntry, Manifest, PublicKey, Seen, Trust, digest, verify_statement};

/// Begins each bundle.
pub(crate) const MAGIC: &[u8; 8] = b"WKBUNDLE";
pub(crate) const VERSION: u8 = 1;
pub(crate) const PURPOSE: &str = "bundle 1";
/// Most signatures.
pub const SIGNATURES_MAX: usize = 8;
const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;

/// What a bundle is held against.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// Whom to believe.
    pub trust: &'a Trust,
    /// Seconds since the epoch.
    pub now: u64,
    /// What was taken before.
    pub seen: &'a Seen,
    /// Whether the newest that was taken may come again.
    pub again: bool,
    /// The one host that it has to be for, when it is one.
    pub host: Option<&'a str>,
}

/// A bundle that was found good: what is read from here is what was signed.
#[derive(Debug, Clone)]
pub struct Bundle<'b> {
    manifest: Manifest,
    digest: Digest,
    signers: Vec<String>,
    files: Vec<&'b [u8]>,
}

impl<'b> Bundle<'b> {
    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Of the table of contents, and so of everything.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Names of the keys that signed it.
    #[must_use]
    pub fn signers(&self) -> &[String] {
        &self.signers
    }

    /// The files with their contents.
    pub fn files(&self) -> impl Iterator<Item = (&FileEntry, &'b [u8])> {
        self.manifest.files.iter().zip(self.files.iter().copied())
    }
}

/// Whether these bytes claim to be a bundle.
#[must_use]
pub fn is_bundle(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads a bundle and checks everything about it.
///
/// # Errors
/// The first thing that is wrong; nothing of the bundle may be used then.
pub fn verify<'b>(bytes: &'b [u8], check: &Check<'_>) -> Result<Bundle<'b>, BundleError> {
    let mut rest = Rest(bytes);
    if rest.take(MAGIC.len(), "beginning").map_err(|_| BundleError::NotABundle)? != MAGIC {
        return Err(BundleError::NotABundle);
    }
    match rest.take(1, "version")?.first() {
        Some(&VERSION) => {}
        found => return Err(BundleError::Newer { found: found.copied().unwrap_or_default() }),
    }
    let signatures = usize::from(rest.take(1, "number of signatures")?.first().copied().unwrap_or_default());
    bound("number of signatures", signatures as u64, SIGNATURES_MAX as u64)?;
    let length = rest.length("table of contents")?;
    bound("table of contents", length as u64, MANIFEST_MAX as u64)?;
    let text = rest.take(length, "table of contents")?;
    let signers = signers(&mut rest, signatures, text, check.trust)?;
    let manifest = Manifest::read(text)?;
    let files = contents(&mut rest, &manifest)?;
    if !rest.0.is_empty() {
        return Err(BundleError::Trailing { bytes: rest.0.len() });
    }
    let digest = digest(text);
    in_order(&manifest, digest, check)?;
    Ok(Bundle { manifest, digest, signers, files })
}

fn signers(
    rest: &mut Rest<'_>,
    count: usize,
    text: &[u8],
    trust: &Trust,
) -> Result<Vec<String>, BundleError> {
    let mut names: Vec<String> = Vec::new();
    for _ in 0..count {
        let key = rest.take(KEY_BYTES, "signature")?;
        let signature = rest.take(SIGNATURE_BYTES, "signature")?;
        let key: [u8; KEY_BYTES] =
            key.try_into().map_err(|_| BundleError::Truncated { part: "signature" })?;
        let key = PublicKey(key);
        let known = trust.find(&key)?;
        if !verify_statement(&key, PURPOSE, text, signature) {
            return Err(BundleError::BadSignature { name: known.name.clone() });
        }
        // Two keys of one signer are one signer.
        if !names.contains(&known.name) {
            names.push(known.name.clone());
        }
    }
    let needed = trust.signatures.max(1);
    if names.len() < needed {
        return Err(BundleError::Signatures { found: names.len(), needed });
    }
    Ok(names)
}

fn contents<'b>(rest: &mut Rest<'b>, manifest: &Manifest) -> Result<Vec<&'b [u8]>, BundleError> {
    let one = |file: &FileEntry| {
        let size = usize::try_from(file.size).unwrap_or(usize::MAX);
        let bytes = rest.take(size, "content")?;
        if digest(bytes) != file.sha256 {
            return Err(BundleError::Changed { path: file.path.clone() });
        }
        Ok(bytes)
    };
    manifest.files.iter().map(one).collect()
}

fn in_order(manifest: &Manifest, digest: Digest, check: &Check<'_>) -> Result<(), BundleError> {
    let now = check.now;
    if now < manifest.not_before {
        return Err(BundleError::NotYet { not_before: manifest.not_before, now });
    }
    if now > manifest.expires {
        return Err(BundleError::Expired { expires: manifest.expires, now });
    }
    check.seen.check(manifest, digest, check.again)?;
    match check.host.filter(|host| !manifest.is_for(host)) {
        None => Ok(()),
        Some(host) => {
            Err(BundleError::OtherHost { targets: manifest.targets.join(", "), host: host.to_owned() })
        }
    }
}

/// What was not read yet.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, length: usize, part: &'static str) -> Result<&'b [u8], BundleError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(BundleError::Truncated { part })?;
        self.0 = rest;
        Ok(taken)
    }

    fn length(&mut self, part: &'static str) -> Result<usize, BundleError> {
        let bytes = self.take(4, part)?;
        let bytes: [u8; 4] = bytes.try_into().map_err(|_| BundleError::Truncated { part })?;
        Ok(u32::from_le_bytes(bytes) as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::{Draft, SigningKey, TrustedKey, pack};

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(Zeroizing::new([n; 32])).unwrap()
    }

    fn trust(keys: &[u8]) -> Trust {
        let one = |n: &u8| TrustedKey { name: format!("k{n}"), key: key(*n).public(), revoked: false };
        Trust::any_of(keys.iter().map(one).collect())
    }

    fn draft() -> Draft {
        let file = |text: &str| (text.as_bytes().to_vec(), false);
        Draft {
            name: "web".into(),
            generation: 5,
            not_before: 100,
            expires: 200,
            targets: vec!["web-*".into()],
            playbook: "site.yml".into(),
            inventory: None,
            files: BTreeMap::from([
                ("roles/a/tasks/main.yml".to_owned(), file("- ping:\n")),
                ("run.sh".to_owned(), (b"#!/bin/sh\n".to_vec(), true)),
                ("site.yml".to_owned(), file("- hosts: all\n  roles: [a]\n")),
            ]),
        }
    }

    fn check<'a>(trust: &'a Trust, seen: &'a Seen) -> Check<'a> {
        Check { trust, now: 150, seen, again: false, host: Some("web-1") }
    }

    #[track_caller]
    fn judge(bytes: &[u8], change: impl FnOnce(&mut Check<'_>)) -> Result<(), BundleError> {
        let (trust, seen) = (trust(&[1, 2]), Seen::default());
        let mut check = check(&trust, &seen);
        change(&mut check);
        verify(bytes, &check).map(|_| ())
    }

    #[test]
    fn a_bundle_gives_back_what_was_put_in_and_is_the_same_each_time() {
        let bytes = pack(&draft(), &[key(1)]).unwrap();
        assert_eq!(bytes, pack(&draft(), &[key(1)]).unwrap());
        let (trust, seen) = (trust(&[1]), Seen::default());
        let bundle = verify(&bytes, &check(&trust, &seen)).unwrap();
        let files: BTreeMap<String, (Vec<u8>, bool)> =
            bundle.files().map(|(f, b)| (f.path.clone(), (b.to_vec(), f.executable))).collect();
        assert_eq!(files, draft().files);
        assert_eq!((bundle.signers(), bundle.manifest().generation), (&["k1".to_owned()][..], 5));
    }

    #[test]
    fn a_bundle_with_any_byte_changed_is_refused() {
        let bytes = pack(&draft(), &[key(1), key(2)]).unwrap();
        assert_eq!(judge(&bytes, |_| {}), Ok(()));
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                assert!(judge(&changed, |_| {}).is_err(), "byte {at} with {flip:#x}");
            }
        }
    }

    #[test]
    fn a_bundle_that_is_cut_or_has_more_behind_it_is_refused() {
        let bytes = pack(&draft(), &[key(1)]).unwrap();
        for length in 0..bytes.len() {
            assert!(judge(&bytes[..length], |_| {}).is_err(), "{length} bytes");
        }
        let mut more = bytes;
        more.push(0);
        assert_eq!(judge(&more, |_| {}), Err(BundleError::Trailing { bytes: 1 }));
    }

    #[test]
    fn a_huge_claimed_length_takes_no_memory() {
        let mut bytes = pack(&draft(), &[key(1)]).unwrap();
        bytes[10..14].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(
            judge(&bytes, |_| {}),
            Err(BundleError::TooLarge { what: "table of contents", .. })
        ));
        bytes[9] = 255;
        assert!(matches!(judge(&bytes, |_| {}), Err(BundleError::TooLarge { .. })));
    }

    #[test]
    fn only_trusted_keys_count_and_revoked_ones_refuse_whoever_else_signed() {
        let stranger = pack(&draft(), &[key(9)]).unwrap();
        assert!(matches!(judge(&stranger, |_| {}), Err(BundleError::UnknownKey { .. })));
        let mixed = pack(&draft(), &[key(1), key(9)]).unwrap();
        assert!(matches!(judge(&mixed, |_| {}), Err(BundleError::UnknownKey { .. })));
        let mut some = trust(&[1, 2]);
        some.keys[1].revoked = true;
        let both = pack(&draft(), &[key(1), key(2)]).unwrap();
        let seen = Seen::default();
        assert_eq!(
            verify(&both, &check(&some, &seen)).map(|_| ()),
            Err(BundleError::Revoked { name: "k2".into() })
        );
        assert!(matches!(pack(&draft(), &[]), Err(BundleError::Signatures { .. })));
    }

    #[test]
    fn as_many_different_keys_as_are_asked_for_have_to_sign() {
        let seen = Seen::default();
        let two = Trust { signatures: 2, ..trust(&[1, 2]) };
        let verdict = |keys: &[SigningKey]| {
            let bytes = pack(&draft(), keys).unwrap();
            verify(&bytes, &check(&two, &seen)).map(|_| ())
        };
        assert_eq!(verdict(&[key(1)]), Err(BundleError::Signatures { found: 1, needed: 2 }));
        assert_eq!(verdict(&[key(1), key(1)]), Err(BundleError::Signatures { found: 1, needed: 2 }));
        assert_eq!(verdict(&[key(2), key(1)]), Ok(()));
    }

    #[test]
    fn it_is_valid_between_its_beginning_and_its_end_and_for_its_targets_only() {
        let bytes = pack(&draft(), &[key(1)]).unwrap();
        assert!(matches!(judge(&bytes, |c| c.now = 99), Err(BundleError::NotYet { .. })));
        assert_eq!(judge(&bytes, |c| c.now = 100), Ok(()));
        assert_eq!(judge(&bytes, |c| c.now = 200), Ok(()));
        assert!(matches!(judge(&bytes, |c| c.now = 201), Err(BundleError::Expired { .. })));
        assert!(matches!(judge(&bytes, |c| c.host = Some("db-1")), Err(BundleError::OtherHost { .. })));
        assert_eq!(judge(&bytes, |c| c.host = None), Ok(()));
    }

    #[test]
    fn an_older_one_is_never_taken_and_the_same_one_only_where_that_is_allowed() {
        let of = |generation, text: &str| {
            let mut draft = Draft { generation, ..draft() };
            draft.files.insert("site.yml".into(), (text.as_bytes().to_vec(), false));
            pack(&draft, &[key(1)]).unwrap()
        };
        let trust = trust(&[1]);
        let mut seen = Seen::default();
        let bytes = of(5, "a");
        let bundle = verify(&bytes, &check(&trust, &seen)).unwrap();
        assert!(seen.note(bundle.manifest(), bundle.digest()));
        assert!(!seen.note(bundle.manifest(), bundle.digest()));
        let seen: Seen = serde_json::from_str(&serde_json::to_string(&seen).unwrap()).unwrap();
        let verdict =
            |bytes: &[u8], again| verify(bytes, &Check { again, ..check(&trust, &seen) }).map(|_| ());
        assert!(matches!(verdict(&of(4, "a"), true), Err(BundleError::Older { found: 4, seen: 5, .. })));
        assert!(matches!(verdict(&of(5, "a"), false), Err(BundleError::Again { .. })));
        assert_eq!(verdict(&of(5, "a"), true), Ok(()));
        assert!(matches!(verdict(&of(5, "b"), true), Err(BundleError::Forked { .. })));
        assert_eq!(verdict(&of(6, "b"), false), Ok(()));
    }

    proptest! {
        #[test]
        fn any_files_come_back_and_no_change_of_some_bytes_passes(
            files in proptest::collection::btree_map("[a-c]{1,3}(/[d-f]{1,3}){0,2}", proptest::collection::vec(any::<u8>(), 0..40), 0..6),
            places in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        ) {
            let mut draft = draft();
            draft.files.extend(files.into_iter().map(|(path, bytes)| (path, (bytes, false))));
            // Names that are file and folder at once are refused when the bundle is made.
            if let Ok(bytes) = pack(&draft, &[key(1)]) {
                let (trust, seen) = (trust(&[1]), Seen::default());
                let bundle = verify(&bytes, &check(&trust, &seen)).unwrap();
                prop_assert_eq!(bundle.files().count(), draft.files.len());
                let mut changed = bytes.clone();
                for (place, flip) in places {
                    let at = place.index(changed.len());
                    changed[at] ^= flip;
                }
                if changed != bytes {
                    prop_assert!(verify(&changed, &check(&trust, &seen)).is_err());
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), signed in any::<bool>()) {
            let (trust, seen) = (trust(&[1]), Seen::default());
            let mut all = MAGIC.to_vec();
            all.extend_from_slice(&[1, 1]);
            if signed {
                // A table of contents of a trusted key that is any bytes.
                all.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                all.extend_from_slice(&bytes);
                all.extend_from_slice(&key(1).public().0);
                all.extend_from_slice(&key(1).sign(PURPOSE, &bytes));
            } else {
                all.extend_from_slice(&bytes);
            }
            prop_assert!(verify(&all, &check(&trust, &seen)).is_err());
        }
    }
}
