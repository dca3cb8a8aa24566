//! The rank test against an independent implementation.

use townlet_stats::RankTest;

struct Vector {
    judged: &'static [f64],
    control: &'static [f64],
    confidence: f64,
    statistic: f64,
    shift: f64,
    low: f64,
    high: f64,
    chance: f64,
}

/// Drawn without ties. Statistic and chance are those of SciPy 1.17 (`mannwhitneyu`, asymptotic, without continuity
/// correction). The interval's ends are the roots of Kayenta's published function (`wilcoxonDiff`: average ranks, sigma
/// with ties, continuity correction), computed by ranking and bisecting; the shift lies where that function is 0.
const VECTORS: &[Vector] = &[
    Vector {
        judged: &[9.488239, 11.022863, 9.547808, 9.369863],
        control: &[8.139964, 9.573396, 12.223835, 10.848293],
        confidence: 0.95,
        statistic: 6.0,
        shift: -0.1443450000000004,
        low: -2.853971999999998,
        high: 2.882898999999998,
        chance: 0.5637028616507731,
    },
    Vector {
        judged: &[13.573758, 11.997805, 12.289539, 11.870653, 8.167875],
        control: &[11.710502, 11.01277, 10.997636, 6.617271, 6.512224, 8.220769, 9.063621],
        confidence: 0.98,
        statistic: 30.0,
        shift: 2.560988,
        low: -2.829760999999998,
        high: 5.777315,
        chance: 0.042357062026854894,
    },
    Vector {
        judged: &[
            12.610892, 11.908177, 13.04195, 10.715531, 12.617406, 12.788309, 10.677725, 15.435061, 13.113219, 14.39401,
        ],
        control: &[
            8.759334, 8.520968, 9.311907, 9.787157, 11.264157, 10.496855, 9.10529, 8.086175, 8.958819, 12.441843,
        ],
        confidence: 0.98,
        statistic: 95.0,
        shift: 3.2768889999999997,
        low: 1.4036240000000015,
        high: 4.592251,
        chance: 0.0006697294490218271,
    },
    Vector {
        judged: &[
            5.384107, 7.489517, 7.853038, 4.020514, 7.096949, 9.612487, 2.971272, 6.356812, 6.787722, 5.365479,
            7.99478, 6.87544, 4.070687, 8.655692, 8.338671,
        ],
        control: &[
            11.891684, 12.881195, 10.724487, 10.238548, 7.401664, 11.230886, 8.776482, 9.094596, 7.470424, 8.064771,
            8.937758, 12.577675,
        ],
        confidence: 0.9,
        statistic: 18.0,
        shift: -3.379499,
        low: -4.755967999999998,
        high: -1.9010420000000001,
        chance: 0.00044267698634333175,
    },
    Vector {
        judged: &[
            6.236416, 7.384589, 10.778702, 13.1867, 11.456994, 6.500113, 5.26353, 11.014794, 8.827476, 8.060427,
            12.254742, 12.503572, 10.614504, 10.791553, 11.168726, 13.488008, 11.538057, 11.337299, 11.395475,
            7.163379, 12.863467, 12.210204, 11.359247, 6.352249, 9.03264, 11.984607, 6.677571, 9.931956, 12.339055,
            7.677623,
        ],
        control: &[
            13.220212, 11.103928, 9.699722, 10.649734, 11.299662, 10.240787, 12.29132, 8.676911, 9.170528, 12.083369,
            10.053598, 8.239072, 11.892911, 12.930995, 9.110348, 7.240014, 9.730504, 9.701962, 9.404001, 12.809541,
            7.946127, 12.521173, 7.463356, 8.425921, 11.263043, 12.257381, 11.718005, 10.690449, 10.284713, 10.304964,
        ],
        confidence: 0.98,
        statistic: 434.0,
        shift: -0.12628899999999987,
        low: -1.5936960000000004,
        high: 1.2039100000000014,
        chance: 0.8130052876119973,
    },
    Vector {
        judged: &[
            11.950561, 10.447605, 11.354872, 11.945453, 10.801679, 12.327965, 11.931756, 14.821264, 11.449885,
            9.944814, 10.054898, 10.773789, 12.647569, 10.126873, 11.571652, 14.474603, 5.670641, 8.552183, 11.287794,
            11.596671, 11.277147, 9.937697, 12.110292, 11.36426, 9.755897,
        ],
        control: &[
            14.860108, 10.710266, 8.891542, 9.801103, 9.548809, 9.874517, 4.543829, 9.026202, 12.017139, 7.662875,
            9.8666, 11.907011, 11.712354, 12.982104, 6.597173, 9.293248, 9.3181, 11.24658, 12.183575, 4.634341,
            12.177359, 7.104913, 11.3663, 7.015723, 10.351705, 12.389309, 9.701361, 10.382206, 11.594247, 10.282754,
            9.823037, 13.066512, 12.096941, 9.41237, 15.49065, 7.706322, 11.829218, 9.468571, 10.264731, 11.410011,
        ],
        confidence: 0.99,
        statistic: 626.0,
        shift: 0.7852115,
        low: -0.42456000000000044,
        high: 2.1275240000000024,
        chance: 0.08932226365120563,
    },
    Vector {
        judged: &[
            10.944444, 11.777291, 7.445349, 7.480978, 11.729885, 8.573683, 8.446704, 7.559721, 13.03276, 11.993116,
            13.446149, 8.624525, 10.502013, 8.219386, 12.032075, 13.678846, 8.719558, 13.620663, 12.476059, 10.144331,
            6.556059, 13.313263, 10.307479, 9.294344, 11.299191, 11.319929, 13.49619, 8.459718, 12.772475, 13.474721,
            13.404472, 10.138751, 9.011943, 12.537145, 10.730371, 10.748379, 13.348429, 9.973127, 5.90655, 9.725618,
            6.792154, 12.137567, 11.13407, 9.277586, 10.480801, 12.165248, 10.65789, 13.153043, 10.37743, 12.58067,
            13.482962, 13.719786, 9.156361, 12.259808, 6.748008, 8.333301, 6.574417, 12.637971, 8.036131, 10.474472,
        ],
        control: &[
            9.615572, 9.942805, 8.816956, 10.467326, 13.582534, 10.088537, 11.061964, 12.001039, 9.604105, 7.480618,
            8.889209, 12.147189, 6.707549, 8.804308, 12.014821, 11.585473, 10.015236, 11.610472, 10.331959, 7.642169,
            6.872115, 8.722096, 11.84546, 8.86891, 8.195283, 8.458079, 6.936466, 9.76545, 7.640786, 10.728292,
            5.279807, 10.655562, 8.716778, 6.115704, 11.449419, 9.448983, 5.539926, 8.249874, 10.582048, 9.082836,
            11.559967, 11.495114, 11.332473, 10.653251, 12.667394, 11.319668, 10.902436, 5.832042, 11.793112, 12.61885,
            9.406204, 9.060985, 13.880597, 6.483735, 10.937714, 14.847432, 8.144799, 11.379178, 13.772762, 9.759579,
        ],
        confidence: 0.98,
        statistic: 2130.0,
        shift: 0.8088579999999999,
        low: -0.25382000000000016,
        high: 1.7830919999999995,
        chance: 0.0832645166635504,
    },
];

/// The same function once more, so that vectors can be drawn here: (judged above control − half − correction) / sigma.
fn published(judged: &[f64], control: &[f64], shift: f64) -> f64 {
    let mut above = 0.0;
    for x in judged {
        for y in control {
            above += if x - y > shift { 1.0 } else { 0.0 };
        }
    }
    let (m, n) = (judged.len() as f64, control.len() as f64);
    let from_middle = above - m * n / 2.0;
    let correction = if from_middle == 0.0 { 0.0 } else { from_middle.signum() / 2.0 };
    (from_middle - correction) / (m * n * (m + n + 1.0) / 12.0).sqrt()
}

#[track_caller]
fn close(got: f64, expected: f64, what: &str) {
    assert!((got - expected).abs() <= 1e-9, "{what}: {got} is not {expected}");
}

#[test]
fn statistic_shift_interval_and_chance_are_those_of_the_published_formula() {
    for vector in VECTORS {
        let test = RankTest::of(vector.judged, vector.control, vector.confidence).unwrap();
        close(test.statistic, vector.statistic, "statistic");
        close(test.shift, vector.shift, "shift");
        close(test.low, vector.low, "low");
        close(test.high, vector.high, "high");
        close(test.chance, vector.chance, "chance");
    }
}

/// Kayenta's `MannWhitneySuite`, "returns expected values".
#[test]
fn kayentas_own_example_gives_kayentas_own_numbers() {
    let test = RankTest::of(&[10.0, 20.0, 30.0, 40.0], &[1.0, 2.0, 3.0, 4.0], 0.95).unwrap();
    assert_eq!((test.low, test.high, test.shift, test.statistic), (6.0, 39.0, 22.5, 16.0));
}

#[test]
fn the_published_function_changes_sign_at_the_ends_of_the_interval() {
    // 0.98 has z = 2.326…, between which and the function's steps there is room.
    let z = 2.326_347_874_040_841;
    for seed in 0..200_u64 {
        let value = |index: u64| {
            let scrambled = (index + 97 * seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((scrambled ^ (scrambled >> 29)) % 1_000_003) as f64 / 1000.0
        };
        let judged: Vec<f64> = (0..5 + seed % 20).map(value).collect();
        let control: Vec<f64> = (0..5 + seed % 17).map(|index| value(index + 1000)).collect();
        let test = RankTest::of(&judged, &control, 0.98).unwrap();
        let step = 1e-7;
        assert!(published(&judged, &control, test.low + step) <= z, "{seed}");
        assert!(published(&judged, &control, test.high - step) >= -z, "{seed}");
        let beyond = |end: f64| judged.iter().flat_map(|x| control.iter().map(move |y| x - y)).any(|d| d < end);
        if beyond(test.low) {
            assert!(published(&judged, &control, test.low - step) > z, "{seed}");
            assert!(published(&judged, &control, test.high + step) < -z, "{seed}");
        }
        let around = [test.shift - step, test.shift, test.shift + step].map(|at| published(&judged, &control, at));
        assert!(around[0] >= 0.0 && around[2] <= 0.0, "{seed}: {around:?}");
    }
}

#[test]
fn the_sides_are_mirror_images() {
    for vector in VECTORS {
        let one = RankTest::of(vector.judged, vector.control, vector.confidence).unwrap();
        let other = RankTest::of(vector.control, vector.judged, vector.confidence).unwrap();
        close(one.shift, -other.shift, "shift");
        close(one.low, -other.high, "interval");
        close(one.chance, other.chance, "chance");
        close(one.statistic + other.statistic, (vector.judged.len() * vector.control.len()) as f64, "statistic");
    }
}

#[test]
fn constants_are_no_difference_and_what_cannot_be_compared_is_no_answer() {
    let same = RankTest::of(&[5.0; 4], &[5.0; 6], 0.98).unwrap();
    assert_eq!((same.statistic, same.shift, same.low, same.high, same.chance), (12.0, 0.0, 0.0, 0.0, 1.0));
    let many = vec![1.0; 5000];
    for (judged, control, confidence) in [
        (&[][..], &[1.0][..], 0.98),
        (&[1.0][..], &[][..], 0.98),
        (&[f64::NAN][..], &[1.0][..], 0.98),
        (&[1.0][..], &[f64::INFINITY][..], 0.98),
        (&[1.0][..], &[1.0][..], 1.0),
        (&[1.0][..], &[1.0][..], f64::NAN),
        (&many[..], &many[..], 0.98),
    ] {
        assert_eq!(RankTest::of(judged, control, confidence), None);
    }
}
