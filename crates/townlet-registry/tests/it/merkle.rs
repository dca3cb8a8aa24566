#![expect(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;

use proptest::prelude::*;
use townlet_registry::{Digest, merkle};

/// MTH of RFC 6962, section 2.1, to the letter.
fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            merkle::node(&root(left), &root(right))
        }
    }
}

/// PATH of section 2.1.1.
fn path(place: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, beside) =
        if place < left.len() { (path(place, left), right) } else { (path(place - left.len(), right), left) };
    path.push(root(beside));
    path
}

/// SUBPROOF of section 2.1.2.
fn subproof(old: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, beside) = if old <= left.len() {
        (subproof(old, left, whole), right)
    } else {
        (subproof(old - left.len(), right, false), left)
    };
    proof.push(root(beside));
    proof
}

fn split(size: usize) -> usize {
    (size.next_power_of_two()) / 2
}

fn leaves(count: usize) -> Vec<Digest> {
    (0..count).map(|number| merkle::leaf(&number.to_le_bytes())).collect()
}

fn nodes(leaves: &[Digest]) -> impl FnMut(u32, u64) -> Result<Digest, Infallible> {
    move |level, place| {
        let begin = usize::try_from(place).unwrap() << level;
        Ok(root(&leaves[begin..begin + (1 << level)]))
    }
}

/// The vectors of the tests of Certificate Transparency.
#[test]
fn roots_are_those_of_rfc_6962() {
    let entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = merkle::Frontier::new();
    assert_eq!(frontier.root().to_hex(), roots[0]);
    for (entry, wanted) in entries.iter().zip(&roots[1..]) {
        let bytes: Vec<u8> =
            (0..entry.len()).step_by(2).map(|at| u8::from_str_radix(&entry[at..at + 2], 16).unwrap()).collect();
        frontier.push(merkle::leaf(&bytes), |_, _, _| {});
        assert_eq!(frontier.root().to_hex(), *wanted);
    }
}

/// Every tree up to a size, every entry and every beginning in it, against the definitions.
#[test]
fn proofs_are_those_of_the_definitions_and_prove_it() {
    for size in 0..=40_usize {
        let leaves = leaves(size);
        let (whole, count) = (root(&leaves), size as u64);
        let frontier = merkle::Frontier::of(count, nodes(&leaves)).unwrap();
        assert_eq!(frontier.root(), whole);
        for index in 0..size {
            let proof = merkle::inclusion(index as u64, count, &mut nodes(&leaves)).unwrap();
            assert_eq!(proof, path(index, &leaves));
            assert_eq!(merkle::root_by_inclusion(&leaves[index], index as u64, count, &proof), Some(whole));
            // In no other place, and with no hash more or less.
            for other in (0..count + 2).filter(|other| *other != index as u64) {
                assert_ne!(merkle::root_by_inclusion(&leaves[index], other, count, &proof), Some(whole));
            }
            let longer = [proof.clone(), vec![whole]].concat();
            assert_ne!(merkle::root_by_inclusion(&leaves[index], index as u64, count, &longer), Some(whole));
            if let Some((_, shorter)) = proof.split_last() {
                assert_ne!(merkle::root_by_inclusion(&leaves[index], index as u64, count, shorter), Some(whole));
            }
        }
        for old in 0..=size {
            let before = root(&leaves[..old]);
            let proof = merkle::consistency(old as u64, count, &mut nodes(&leaves)).unwrap();
            assert_eq!(proof, if old == 0 { Vec::new() } else { subproof(old, &leaves, true) });
            assert!(merkle::is_beginning(old as u64, &before, count, &whole, &proof));
            for other in (0..=count + 2).filter(|other| *other != old as u64) {
                assert!(!merkle::is_beginning(other, &before, count, &whole, &proof), "{other} for {old} of {size}");
            }
            let wrong = Digest::of(b"another");
            assert!(!merkle::is_beginning(old as u64, &wrong, count, &whole, &proof));
            if size > old && old > 0 {
                assert!(!merkle::is_beginning(old as u64, &before, count, &wrong, &proof));
            }
        }
    }
}

proptest! {
    #[test]
    fn no_proof_makes_a_check_panic(
        index: u64, size: u64, old: u64, proof in prop::collection::vec(any::<[u8; 32]>(), 0..70)
    ) {
        let proof: Vec<Digest> = proof.into_iter().map(Digest::from_bytes).collect();
        let root = Digest::of(b"root");
        prop_assert_ne!(merkle::root_by_inclusion(&root, index, size, &proof), Some(root));
        prop_assert!(!merkle::is_beginning(old, &root, size, &root, &proof) || old == size);
    }
}
